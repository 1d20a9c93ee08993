# What the small machine (machine.py) runs for as long as it lives; the host's files are its own, and read-only.
# Needs BLUEZ (Debian's package, unpacked) and STATE (the hub's settings and identity, to begin with).
b=/run/busybox
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TMPDIR=/run/tmp PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH="$BLUEZ/usr/lib/x86_64-linux-gnu"
exec >/dev/console 2>&1 </dev/null

$b mount -t tmpfs -o mode=755 lib /var/lib
$b mkdir -p /var/lib/bluetooth /run/dbus /run/tmp
$b cp -r "$STATE" /var/lib/bedside
$b chmod -R go-rwx /var/lib/bedside

# The host is 10.0.2.2; the name in its broker's certificate is "localhost".
echo "10.0.2.2 localhost" >/run/hosts
$b mount -o bind /run/hosts /etc/hosts
$b ip link set lo up
$b ip address add 10.0.2.15/24 dev eth0
$b ip link set eth0 up

# Groups that BlueZ's rules name, and the host need not have.
{ $b cat /etc/group; echo "bluetooth:x:65001:"; } >/run/group
$b mount -o bind /run/group /etc/group
cat >/run/bus.conf <<CONFIGURATION
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>/usr/share/dbus-1/system.conf</include>
  <include>$BLUEZ/etc/dbus-1/system.d/bluetooth.conf</include>
</busconfig>
CONFIGURATION
dbus-daemon --config-file=/run/bus.conf --nopidfile --fork
"$BLUEZ/usr/bin/btattach" -B /dev/ttyS1 -P h4 -S 115200 -N &

# One line is one command; its output, a record separator and its exit code are the answer.
$b stty -F /dev/ttyS2 raw -echo
exec 3<>/dev/ttyS2
printf '\036up\n' >&3
while IFS= read -r line <&3; do
	said=$(sh -c "$line" 2>&1)
	printf '%s\036%d\n' "$said" $? >&3
done
