"""What the hub's user may do with NetworkManager, by the installed rules, as polkitd itself judges."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.support.absent import absent

ROOT = Path(__file__).parents[2]
RULES = ROOT / "systemd/60-bedside-wifi.rules"
ASK = ROOT / "tests/support/polkit.sh"
ACTIONS = Path("/usr/share/polkit-1/actions/org.freedesktop.NetworkManager.policy")
NM = "org.freedesktop.NetworkManager"
ALLOWED = {f"{NM}.{one}" for one in ("network-control", "settings.modify.system", "wifi.scan", "wifi.share.protected")}


def test_the_hubs_user_may_do_what_it_needs_and_nobody_else_may() -> None:
    if not Path("/usr/lib/polkit-1/polkitd").exists() or not ACTIONS.exists() or shutil.which("pkcheck") is None:
        absent("the rules of polkit", "apt-get install polkitd network-manager")
    if os.geteuid() != 0:
        absent("the rules of polkit", "run the suite as root, which may make namespaces")
    actions = re.findall(r'<action id="([^"]+)"', ACTIONS.read_text())
    asked = subprocess.run(
        ["unshare", "--mount", ASK, RULES, *actions], capture_output=True, text=True, check=False, timeout=120
    )
    assert asked.returncode == 0, asked.stderr
    said = [line.split() for line in asked.stdout.splitlines()]
    assert len(said) == 2 * len(actions), asked.stderr
    assert {action for action, user, may in said if user == "bedside" and may == "yes"} == ALLOWED
    assert [action for action, user, may in said if user != "bedside" and may == "yes"] == []
