#!/usr/bin/env bash
# Tells which programs the tests need and this machine lacks, and how to get
# them. With an argument, it looks for those programs instead.
set -u
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
case "${1:-}" in
  etcd) need etcd etcd-server ;;
  events) need etcd etcd-server; need snmptrapd snmptrapd ;;
  placement) need hbal ganeti-htools ;;
  soak) need snmpinform snmp; need ip iproute2; need iptables iptables ;;
  *)
    need snmpinform snmp; need snmptrap snmp; need snmpd snmpd
    perl -MNetSNMP::agent -e 1 2>/dev/null || missing+=(libsnmp-perl)
    need ipmi_sim openipmi; need ipmitool ipmitool; need redfishtool redfishtool
    need ovs-vswitchd openvswitch-switch; need ovsdb-server openvswitch-switch; need ip iproute2; need ethtool ethtool
    need haproxy haproxy; need tgtd tgt; need iscsi-ls libiscsi-bin
    need ansible-playbook ansible; need sshd openssh-server; need ssh openssh-client
    ;;
esac
if [ ${#missing[@]} -gt 0 ]; then
  pkgs=$(printf '%s\n' "${missing[@]}" | sort -u | tr '\n' ' ')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing: $pkgs" >&2
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    export DEBIAN_FRONTEND=noninteractive
    install() { apt-get install -y --no-install-recommends $pkgs >"$log" 2>&1; }
    install || { apt-get update >/dev/null 2>&1 && install; } || { tail -20 "$log" >&2; exit 1; }
  else
    echo "missing programs; install them first: apt-get install --no-install-recommends $pkgs" >&2
    exit 1
  fi
fi
