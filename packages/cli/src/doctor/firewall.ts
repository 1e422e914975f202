const mdnsPort = 5353;

/** Returns instructions that open a TCP port, and UDP 5353 for mDNS, in a platform's usual firewall. */
export function firewallFix(platform: NodeJS.Platform, port: number): string {
  switch (platform) {
    case 'darwin':
      return 'allow incoming connections for node in System Settings, Network, Firewall';
    case 'win32':
      return `in an administrator's PowerShell: ${allowInbound('TCP', port)}; ${allowInbound('UDP', mdnsPort)}`;
    default:
      return `sudo ufw allow ${port}/tcp && sudo ufw allow ${mdnsPort}/udp, or: sudo firewall-cmd --add-port=${port}/tcp --add-service=mdns`;
  }
}

function allowInbound(protocol: 'TCP' | 'UDP', port: number): string {
  return `New-NetFirewallRule -DisplayName 'Skein ${protocol}' -Direction Inbound -Protocol ${protocol} -LocalPort ${port} -Action Allow`;
}
