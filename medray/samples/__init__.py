"""A unit of the index to one Arrow table of prepared samples, and batches of those to tensors."""
