"""What only pictures have: decoding, augmentation, and when two look the same."""
