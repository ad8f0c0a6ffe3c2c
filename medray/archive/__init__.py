"""Storage objects to instances: containers, headers, index rows, labels, splits. The only room that sees a patient."""
