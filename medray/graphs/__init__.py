"""Images to region graphs, and region graphs to Arrow and back."""
