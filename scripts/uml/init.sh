#!/bin/sh
# The first process of the User-Mode Linux that run.mjs boots: the machine's own files, read-only, and a kernel of
# its own. Runs vitest, leaves its report where run.mjs finds it, and powers off.
# From the kernel's command line: UML_PROJECT, UML_RESULTS (the one writable directory), UML_NODE.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

off() {
  sync
  echo o >/proc/sysrq-trigger
  # The first process may not end before the machine has.
  while :; do sleep 1; done
}

mount -t proc proc /proc
trap off EXIT
set -e
mount -t sysfs sys /sys
mount -t tmpfs run /run
mkdir -p /run/results /run/tmp /run/modules/lib
mount -t hostfs none /run/results -o "$UML_RESULTS"
# What Node and vitest write goes here, as everything else is read-only.
export TMPDIR=/run/tmp HOME=/run/tmp

# modprobe, also when the kernel itself calls it, looks below a root of ours: the machine may have no /lib/modules.
ln -s /usr/lib/uml/modules /run/modules/lib/modules
printf '#!/bin/sh\nexec modprobe -d /run/modules "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
for module in veth bridge br_netfilter dummy ifb 8021q ipvlan macvlan vxlan esp4 esp6 xfrm_user gcm seqiv authenc; do
  /run/modprobe "$module" || echo "no module $module" >&2
done

ip link set lo up 2>/dev/null || true
ulimit -n 65536
touch /run/results/started
cd "$UML_PROJECT"
set +e
# Through a pipe, since this console passes for a terminal.
LIBNETWORK_UML=1 NO_COLOR=1 "$UML_NODE" node_modules/vitest/vitest.mjs run --configLoader runner \
  --config scripts/uml/vitest.config.ts --reporter=default --reporter=json \
  --outputFile.json=/run/results/vitest.json $(cat /run/results/arguments) 2>&1 | cat
