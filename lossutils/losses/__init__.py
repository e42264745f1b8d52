"""Pure loss functions, one file a family, and their Modules."""
