from applications.cli.commands import app

app(prog_name="python -m applications.cli")
