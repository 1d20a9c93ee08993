#!/bin/sh
# Called by booted.py inside namespaces of its own: builds a root around this machine's /usr and starts systemd in it.
# Every mount here is seen by these namespaces alone and is gone with their last process.
set -eu
root=$1 disk=$2
# In memory, and so gone with the machine.
mount -t tmpfs -o mode=755,size=4g tmpfs "$root"
cd "$root"
mkdir -p .upper/files .upper/work usr etc/systemd/system var/lib var/log/journal var/tmp var/cache \
	run tmp proc sys dev root opt home srv
chmod 1777 tmp var/tmp
ln -s usr/bin bin
ln -s usr/sbin sbin
ln -s usr/lib lib
[ ! -d /usr/lib64 ] || ln -s usr/lib64 lib64
ln -s /run var/run
# systemd keeps a secret of the machine only where it outlives a reboot.
mkdir var/lib/systemd
mount --bind "$disk" var/lib/systemd
mount -t overlay overlay -o "lowerdir=/usr,upperdir=$root/.upper/files,workdir=$root/.upper/work" usr

# As a fresh installation has it: none of this machine's units, users or settings.
for name in nsswitch.conf ld.so.cache ld.so.conf ld.so.conf.d alternatives ssl pam.d login.defs security python3.11; do
	[ ! -e "/etc/$name" ] || cp -a "/etc/$name" etc/
done
cp usr/share/base-passwd/passwd.master etc/passwd
cp usr/share/base-passwd/group.master etc/group
ln -s ../usr/lib/os-release etc/os-release
echo bedside-hub >etc/hostname
echo "127.0.0.1 localhost" >etc/hosts
: >etc/machine-id
# These would reach beyond the namespaces (the kernel's settings, its modules), or have nothing to do here.
for unit in systemd-sysctl.service systemd-modules-load.service systemd-tmpfiles-setup-dev.service \
	sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
	dev-hugepages.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service systemd-random-seed.service \
	systemd-timesyncd.service systemd-logind.service systemd-networkd.service getty.target \
	timers.target; do
	ln -s /dev/null "etc/systemd/system/$unit"
done

mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
ip link set lo up

mkdir .old
pivot_root . .old
umount -l /.old
rmdir /.old
# As PID 1 of a real machine has it: what it mounts for a service (its credentials) is seen outside of the service.
mount --make-rshared /
cd /
exec env -i container=bedside-test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system systemd.unit=multi-user.target
