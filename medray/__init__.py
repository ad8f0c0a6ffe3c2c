"""Archives of medical images in, trained models and scored tables out, on Ray."""

__version__ = "0.1.0"
