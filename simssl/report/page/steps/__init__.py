"""The part of the page that shows numbers over the steps of a training: terms of the loss, and what was measured."""
