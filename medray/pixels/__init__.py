"""Stored values to modality values to model input."""
