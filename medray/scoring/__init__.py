"""Bundle and inputs to rows, and explanations."""
