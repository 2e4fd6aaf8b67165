"""Random views of a batch, drawn and applied on the device. Each view of each image has its own draws."""

from simssl.training.views.operation import Draws
from simssl.training.views.pipeline import BySize, Views

__all__ = ["BySize", "Draws", "Views"]
