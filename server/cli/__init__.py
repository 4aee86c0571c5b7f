"""The `tidegate` program.

Decides names of commands and exit codes: 0 done, 1 the thing asked for failed, 2 wrong usage or
settings, 3 stopped but requests had to be cut off. Data goes to standard output, everything else
to standard error.

The commands import what they need when they run, so that `--help` is instant.
"""

import typer

import server
from server.cli.demo import demo
from server.cli.doctor import doctor
from server.cli.drift import drift
from server.cli.feedback import feedback_app
from server.cli.health import health
from server.cli.key import key_app
from server.cli.model import model_app
from server.cli.performance import performance
from server.cli.profile import profile_app
from server.cli.release import release_app
from server.cli.replay import replay
from server.cli.serve import serve_command

app = typer.Typer(
    name="tidegate",
    help="Serve versioned ONNX models over the Open Inference Protocol, batched on the CPU.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings are flags, TIDEGATE_… variables or keys of tidegate.toml, in that order.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"tidegate {server.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    del version


app.command("serve")(serve_command)
app.command("demo")(demo)
app.command("doctor")(doctor)
app.command("health")(health)
app.command("drift")(drift)
app.command("performance")(performance)
app.command("replay")(replay)
app.add_typer(model_app, name="model")
app.add_typer(key_app, name="key")
app.add_typer(profile_app, name="profile")
app.add_typer(release_app, name="release")
app.add_typer(feedback_app, name="feedback")


def main() -> None:
    """Run the program."""
    app()
