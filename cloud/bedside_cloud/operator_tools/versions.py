"""`bedside-cloud fleet version`: signed versions of the hub's software."""

import base64
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import (
    PART_BYTES,
    RELEASE_ADD,
    RELEASE_PART,
    RELEASE_REMOVE,
    RELEASES,
    PartRequest,
    Release,
    ReleaseList,
    ReleaseName,
    ReleaseRequest,
)
from bedside_cloud.engines.certificates.release_key import release_signer
from bedside_cloud.operator_tools import bundles
from bedside_cloud.operator_tools.asking import ask
from bedside_cloud.operator_tools.options import JsonOption, StateOption
from bedside_cloud.operator_tools.printing import as_json, say, table, utc
from bedside_cloud.settings import DEFAULT_STATE

version = typer.Typer(help="Versions of the hub's software, signed.", no_args_is_help=True)

PassphraseOption = Annotated[
    str, typer.Option("--passphrase", envvar="BEDSIDE_RELEASE_PASSPHRASE", prompt=True, hide_input=True)
]
BundleArgument = Annotated[Path, typer.Argument(help="The bundle's file.", exists=True, dir_okay=False)]


@version.command("key")
def key(
    output: Annotated[Path, typer.Option("--output", help="Where the key is written; .pub beside it.")],
    passphrase: Annotated[
        str,
        typer.Option(
            "--passphrase",
            envvar="BEDSIDE_RELEASE_PASSPHRASE",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
) -> None:
    """Make a release key. Keep it offline: whoever has it can run any software on every hub.

    Example: bedside-cloud fleet version key --output release.key
    """
    public = bundles.new_key(output, passphrase.encode())
    say(f"The key is in {output}. Put {public} into systemd/ as release.pub before a hub is installed.")


@version.command("pack")
def pack(
    wheel: Annotated[Path, typer.Option("--wheel", help="The wheel that the hub is to run.")],
    output: Annotated[Path, typer.Option("--output", help="The bundle's file.")],
    systemd: Annotated[Path, typer.Option("--systemd", help="The folder with `install`.")] = Path("systemd"),
    wheelhouse: Annotated[
        Path | None, typer.Option("--wheelhouse", help="The packages of agent.lock, for hubs that reach no index.")
    ] = None,
) -> None:
    """Make one file of a version.

    Example: bedside-cloud fleet version pack --wheel dist/bedside-1.2.0-py3-none-any.whl --output bedside-1.2.0.tar
    """
    size = bundles.pack(wheel, systemd, wheelhouse, output)
    say(f"{output}: {size / 1e6:.1f} MB. Sign it: bedside-cloud fleet version sign {output} --key release.key")


@version.command("sign")
def sign(
    bundle: BundleArgument,
    key_file: Annotated[Path, typer.Option("--key", help="The release key.")],
    passphrase: PassphraseOption,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Hubs may go back to it from a later version.")
    ] = False,
) -> None:
    """Sign a bundle: manifest and signature are written beside it.

    Example: bedside-cloud fleet version sign bedside-1.2.0.tar --key release.key
    """
    release = bundles.sign(bundle, release_signer(key_file, passphrase.encode()), may_be_older=allow_older)
    say(f"Version {release.version} is signed. Bring it to the cloud: bedside-cloud fleet version add {bundle}")


@version.command("add")
def add(bundle: BundleArgument, state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Bring a signed bundle to the cloud. Again after it broke off: it goes on where it ended.

    Example: bedside-cloud fleet version add bedside-1.2.0.tar
    """
    manifest, signature = bundles.signed(bundle)
    request = ReleaseRequest(manifest=manifest, signature_base64=base64.b64encode(signature).decode())
    known = ask(state, RELEASE_ADD, request, Release)
    with bundle.open("rb") as file, Progress(console=Console(stderr=True), disable=json, transient=True) as progress:
        bar = progress.add_task(f"Version {known.version}", total=known.size_bytes)
        while known.has_bytes < known.size_bytes:
            progress.update(bar, completed=known.has_bytes)
            file.seek(known.has_bytes)
            part = base64.b64encode(file.read(PART_BYTES)).decode()
            question = PartRequest(sha256=known.sha256, at_byte=known.has_bytes, content_base64=part)
            known = ask(state, RELEASE_PART, question, Release)
    if json:
        as_json(known)
    else:
        say(f"Version {known.version} is there. Bring hubs to it: bedside-cloud fleet rollout start {known.version}")


@version.command("list")
def listed(state: StateOption = DEFAULT_STATE, json: JsonOption = False) -> None:
    """Every version that is there.

    Example: bedside-cloud fleet version list
    """
    answer = ask(state, RELEASES, Empty(), ReleaseList)
    if json:
        as_json(answer)
        return
    table(
        ("version", "added", "size", "there", "back to it", "sha-256"),
        (
            (
                one.version,
                utc(one.added_at_ms),
                f"{one.size_bytes / 1e6:.1f} MB",
                "whole" if one.has_bytes == one.size_bytes else f"{100 * one.has_bytes // one.size_bytes} %",
                "yes" if one.may_be_older else "no",
                one.sha256,
            )
            for one in answer.releases
        ),
        "No version is there. Make one: bedside-cloud fleet version pack",
    )


@version.command("remove")
def remove(
    name: Annotated[str, typer.Argument(help="The version, or the bundle's SHA-256.")],
    state: StateOption = DEFAULT_STATE,
    json: JsonOption = False,
) -> None:
    """Forget a version. Hubs that run it go on.

    Example: bedside-cloud fleet version remove 1.2.0
    """
    known = ask(state, RELEASE_REMOVE, ReleaseName(version_or_sha256=name), Release)
    if json:
        as_json(known)
    else:
        say(f"Version {known.version} is not there any more.")
