"""Small models fitted on frozen representations, and the images and targets that they are fitted on."""
