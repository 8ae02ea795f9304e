"""What every room agrees on of masks: the class of each pixel of a picture, uint8 [H, W]."""

IGNORED = 255  # no class: the pixel neither teaches nor counts
