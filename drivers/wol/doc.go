// Package wol switches physical machines without a management controller:
// Wake-on-LAN starts them, their operating system's SSH server shuts them down
// and restarts them. It implements drivers.Power.
//
// Nothing here can force a machine off, and nothing can prove that one is off:
// a machine that doesn't answer may run on behind a broken network. Silence
// therefore is KindUnreachable, never "off", with one exception, see
// Driver.PowerState. A fence needs a real management controller.
package wol
