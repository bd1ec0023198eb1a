// Package tgt drives the Linux SCSI target framework (tgt) through tgtadm on
// the manager's own machine: which initiators may log in to which iSCSI target.
// A volume is a target; its name is the target's (an iSCSI name), or what
// follows the option prefix.
//
// An initiator is connected when the target's ACL has its name. tgt lets
// nobody in while an ACL is empty, and everybody whose address fits (or ALL)
// beside those named: such an address counts as an initiator of a machine that
// isn't known, so that a volume that isn't shared is neither connected beside
// it nor ever said to be disconnected. Access by CHAP account isn't touched.
//
// tgt doesn't end sessions when an initiator leaves the ACL. Disconnect takes it
// out first, so that no new session can begin, then cuts the sessions that are
// open, and is done when tgt shows none.
//
// What tgtadm changes is lost when tgtd restarts: write the volumes, without
// initiators, into /etc/tgt/conf.d, and machines are connected again by the
// next call that asks for it.
package tgt
