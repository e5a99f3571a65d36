"""The REST calls: one module for each resource, each with a list of `Endpoint`s. A resource is added here."""

from meshproxy_cli.proxy.admin.rest import access, api_keys, limits, projects, rooms, usage

ENDPOINTS = (
    *projects.ENDPOINTS,
    *api_keys.ENDPOINTS,
    *rooms.ENDPOINTS,
    *limits.ENDPOINTS,
    *usage.ENDPOINTS,
    *access.ENDPOINTS,
)
