#!/bin/sh
# Called in a mount namespace of its own: asks a real polkitd with the given rules which actions a user may do.
#   polkit.sh RULES ACTION…
# Prints `ACTION USER yes|no` for the user bedside and for another one. Its mounts are gone with the namespace.
set -eu
rules=$1
shift
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/etc /run/rules
{ cat /etc/passwd; echo "bedside:x:4711:4711::/:/bin/sh"; } >/run/etc/passwd
cp "$rules" /run/rules/
mount --bind /run/etc/passwd /etc/passwd
mount --bind /run/rules /usr/share/polkit-1/rules.d
cat >/run/bus.conf <<'X'
<busconfig>
  <type>session</type>
  <listen>unix:path=/run/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
X
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile &
bus=$!
until [ -S /run/bus ]; do sleep 0.05; done
/usr/lib/polkit-1/polkitd --no-debug >/dev/null &
daemon=$!
trap 'kill $bus $daemon ${process:-} 2>/dev/null' EXIT
until dbus-send --bus="$DBUS_SYSTEM_BUS_ADDRESS" --print-reply --dest=org.freedesktop.PolicyKit1 \
	/org/freedesktop/PolicyKit1/Authority org.freedesktop.DBus.Peer.Ping >/dev/null 2>&1; do
	kill -0 $daemon
	sleep 0.1
done
for user in bedside nobody; do
	setpriv --reuid "$user" --regid 65534 --clear-groups sleep 60 &
	process=$!
	until [ "$(stat -c %U "/proc/$process")" = "$user" ]; do sleep 0.05; done
	subject=$process,$(cut -d' ' -f22 "/proc/$process/stat"),$(stat -c %u "/proc/$process")
	for action in "$@"; do
		if pkcheck --action-id "$action" --process "$subject" >/dev/null 2>&1; then may=yes; else may=no; fi
		echo "$action $user $may"
	done
	kill $process
done
