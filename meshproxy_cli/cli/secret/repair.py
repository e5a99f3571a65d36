"""`meshproxy secret repair`: a damaged secrets file becomes one that can be read."""

from meshproxy_cli.cli import context, output
from meshproxy_cli.settings.secretrepair import repair as repair_file


def repair() -> None:
    """Save what can be read of a damaged secrets file.

    Every secret that stands in it whole is kept. The damaged file stays beside it, readable by you alone.

    **Example**

    - `meshproxy secret repair`
    """
    path = context.paths().current_secrets_file
    done = repair_file(path)
    if done is None:
        output.success(f"nothing is wrong with {path}")
        return
    output.success(f"saved from {path}: {', '.join(done.names) or 'nothing'}")
    output.note(f"the damaged file is {done.copy}; it holds secrets, so delete it once nothing is missed")
