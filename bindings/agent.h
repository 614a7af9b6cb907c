// Where a Mesos agent says its ZooKeeper is: in files of the agent's host, mounted where they lie
// there (/etc/mesos, /opt/mesosphere, ...), or all of the host below OCHOPOD_HOST_ROOT. Read at
// once; small. Nothing in them is executed. Loop thread.
//
// What counts is who wins on the agent itself. DC/OS: systemd reads its EnvironmentFiles in order
// and the last one counts, so they are asked from the end. Packages of Mesosphere: a flag file
// /etc/mesos-slave/master over MASTER or MESOS_MASTER of /etc/default, over /etc/mesos/zk.
// "file:///path" is followed once, below the root. The path of such an address is where Mesos keeps
// its own election: not a chroot of ours, and left out, as Ochopod did, so that all meet at the
// same root. Credentials are kept. "localhost", which is what packages ship, is believed last and
// means the agent's host.
#pragma once
#include "bindings/bindings.h"

// "zk://[user:password@]host:port,..." or NULL; what is skipped, and why, is logged without
// credentials. host: $HOST, stands in for localhost where we have a network of our own; may be
// NULL. own_network: false on the host's network.
char *agent_zk(const struct binding_wish *wish, const char *host, bool own_network);
// Does the machine say that it is one of EC2's? Its DMI strings, /sys/hypervisor/uuid.
bool agent_on_ec2(const struct binding_wish *wish);
