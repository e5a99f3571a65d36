"""From a format's name to its document."""

from meshproxy_cli.configedit.formats.document import Document


def open_document(format_name: str, data: bytes) -> Document:
    """Return the document in `data`; raise `FormatError` if it does not parse."""
    # Imported here: tomlkit takes 40 ms, and most agents have no TOML.
    if format_name == "toml":
        from meshproxy_cli.configedit.formats.toml_document import TomlDocument  # noqa: PLC0415

        return TomlDocument(data)
    if format_name == "json":
        from meshproxy_cli.configedit.formats.json_document import JsonDocument  # noqa: PLC0415

        return JsonDocument(data)
    if format_name == "yaml-block":
        from meshproxy_cli.configedit.formats.yaml_block_document import YamlBlockDocument  # noqa: PLC0415

        return YamlBlockDocument(data)
    from meshproxy_cli.configedit.formats.block_document import BlockDocument  # noqa: PLC0415

    return BlockDocument(data)
