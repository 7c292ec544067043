"""IMAGE: pictures, as patches at their own aspect ratio."""
