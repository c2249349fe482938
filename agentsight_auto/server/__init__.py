"""The server: the AgentSight HTTP API over the embedded store. Needs the extra ``[server]``."""
