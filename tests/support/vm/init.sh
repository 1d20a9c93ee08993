#!/bin/busybox sh
# First process of the small machine (machine.py): the modules it needs, its root on the host's files, and off it goes.
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
# Their names begin with a number: each stands after those that it needs.
for module in /modules/*; do
	$b insmod "$module" || echo "guest: no $module"
done
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro host /root || echo "guest: no files"
$b mount -t tmpfs -o mode=755 run /root/run
$b cp $b /root/run/busybox
$b mount --move /dev /root/dev
$b mount --move /proc /root/proc
$b mount -t sysfs sys /root/sys
# GUEST, BLUEZ and STATE are the kernel's arguments.
exec /bin/busybox switch_root /root /bin/sh "$GUEST"
