"""Effects: light, shadows, edges, grain, depth of field, blending and relighting of composed objects."""
