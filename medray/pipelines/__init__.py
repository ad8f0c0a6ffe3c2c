"""The only room that imports ray: it strings the others together, one file a verb."""
