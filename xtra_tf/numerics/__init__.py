"""Pure tensor functions: no objects, no settings, no state."""
