"""Pictures: sources, audit, splits, store, augmentation, batches."""
