/** Returns instructions that open a TCP port, and UDP 5353 for mDNS, in a platform's usual firewall. */
export function firewallFix(platform: NodeJS.Platform, port: number): string {
  switch (platform) {
    case 'darwin':
      return 'allow incoming connections for node in System Settings, Network, Firewall';
    case 'win32':
      return `in an administrator's PowerShell: New-NetFirewallRule -DisplayName Skein -Direction Inbound -Protocol TCP -LocalPort ${port} -Action Allow`;
    default:
      return `sudo ufw allow ${port}/tcp && sudo ufw allow 5353/udp, or: sudo firewall-cmd --add-port=${port}/tcp --add-service=mdns`;
  }
}
