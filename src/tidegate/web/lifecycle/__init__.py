"""The pages of what the lifecycle goes by, and of what it does: segments, stages, health, alerts, actions, figures."""
