"""Commands for agents: `configure`, `launch` and `env`."""
