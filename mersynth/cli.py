"""The ``mersynth`` command."""

from __future__ import annotations

from mersynth.cli_options import new_app
from mersynth.commands.doctor import doctor
from mersynth.commands.export import export
from mersynth.commands.gallery import gallery
from mersynth.commands.generate import generate
from mersynth.commands.phantom import phantom
from mersynth.commands.prepare import prepare
from mersynth.commands.quality import quality
from mersynth.commands.studio import studio
from mersynth.commands.train import train
from mersynth.commands.transfer import transfer

app = new_app("Balanced synthetic facial micro-expression clips, conditioned on action units.")

for command in (  # in the order in which --help lists them
    doctor,
    phantom,
    prepare,
    train,
    generate,
    quality,
    gallery,
    export,
    transfer,
    studio,
):
    app.command()(command)
