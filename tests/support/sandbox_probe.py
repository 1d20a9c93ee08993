"""A program that tries, in the place of the agent, what an intruder there would try; prints what it could do."""

PROBE = """
import ctypes, json, mmap, os, resource, shutil, socket, subprocess, sys, time
from pathlib import Path
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def write(path):
    Path(path).write_text("x")
    Path(path).unlink()

def of_state(mode):
    path = Path("/var/lib/bedside/probe")
    path.write_text("x")
    try:
        path.chmod(mode)
    finally:
        path.unlink()

def as_another():
    if b"uid=0" not in subprocess.run(["/srv/probe/id"], capture_output=True, check=True).stdout:
        raise OSError("still the same user")

attempts = {
    **{f"write {place}": lambda place=place: write(f"{place}/written")
       for place in ("/etc", "/usr", "/opt/bedside", "/var/lib", "/var/log", "/srv", "/boot", "/home", "/root")},
    "set-user-id": lambda: of_state(0o4755),
    "become root": as_another,
    "device": lambda: open("/srv/probe/device", "rb", buffering=0).close(),
    "raw packets": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "writable code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    "personality": lambda: call("personality", 0x0040000),
    "host name": lambda: socket.sethostname(socket.gethostname()),
    "kernel's settings": lambda: open("/proc/sys/kernel/core_pattern", "r+").close(),
    "others' processes": lambda: os.stat("/proc/1/status"),
    "real-time": lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
    "control groups": lambda: open("/sys/fs/cgroup/cgroup.procs", "r+").close(),
    "mount": lambda: call("mount", b"tmpfs", b"/var/lib/bedside", b"tmpfs", 0, None),
    "write its state": lambda: of_state(0o600),
    "write /tmp": lambda: write("/tmp/probe"),
    "internet": lambda: socket.socket(socket.AF_INET).close(),
    "read the clock's state": lambda: call("adjtimex", ctypes.create_string_buffer(512)),
    "boot id": lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
    # Last: whoever is in a namespace of users of its own can do no more than is allowed there.
    "user namespace": lambda: call("unshare", 0x10000000),
}
found = {}
for name, attempt in attempts.items():
    try:
        attempt()
        found[name] = True
    except OSError:
        found[name] = False
print(json.dumps(found))
"""
