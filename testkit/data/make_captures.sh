#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Takes the captures in testkit/data/captures anew, from real tools:
#
#     testkit/setup.sh captures && testkit/data/make_captures.sh [FOLDER]
#
# Two network namespaces, `left` and `right`, are joined by a veth pair with every offload off, so that
# the checksums on the wire are the packets' own. All addresses are documentation addresses. The namespaces
# (network, process and mount) belong to this script alone and end with it; nothing outside is touched.
#
#     left  192.0.2.1  2001:db8::1  02:00:00:00:00:01   tcpdump and the clients
#     right 192.0.2.2  2001:db8::2  02:00:00:00:00:02   python3 -m http.server, dnsmasq
set -eu
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" != --inside ]; then
    [ "$(id -u)" = 0 ] || { echo "make_captures.sh: network namespaces and tcpdump need root" >&2; exit 1; }
    out=${1:-$here/captures}
    mkdir -p "$out"
    exec unshare --net --mount --pid --fork --kill-child --mount-proc "$here/make_captures.sh" --inside "$out"
fi

out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# -- the two namespaces

unshare --net sleep infinity &
right=$!
on_right() { nsenter --target "$right" --net "$@"; }
sleep 0.5
[ "$(readlink /proc/$right/ns/net)" != "$(readlink /proc/self/ns/net)" ]

ip link add left address 02:00:00:00:00:01 type veth peer name right address 02:00:00:00:00:02
ip link set right netns "$right"
ethtool -K left tx off rx off sg off tso off gso off gro off >/dev/null
on_right ethtool -K right tx off rx off sg off tso off gso off gro off >/dev/null
ip link set lo up
on_right ip link set lo up

ip link set left up # has no carrier until `right` is up, but tcpdump can start

set_up() {
    on_right ip link set right up
    ip address add 192.0.2.1/24 dev left
    ip -6 address add 2001:db8::1/64 dev left nodad
    on_right ip address add 192.0.2.2/24 dev right
    on_right ip -6 address add 2001:db8::2/64 dev right nodad
}
forget_neighbours() {
    ip neigh flush dev left
    on_right ip neigh flush dev right
}

# -- one capture: tcpdump on `left` while the commands run

start() {
    name=$1
    shift
    tcpdump -i left -w "$out/$name.pcap" -U -Z root --immediate-mode "$@" 2>"$work/tcpdump" &
    tcpdump=$!
    sleep 0.5
    grep -q listening "$work/tcpdump" || { cat "$work/tcpdump" >&2; exit 1; }
}
stop() {
    sleep 0.5
    kill -INT "$tcpdump"
    wait "$tcpdump"
    echo "$name: $(grep captured "$work/tcpdump")"
}

# -- traffic

pings() {
    ping -q -n -c 4 -i 0.2 192.0.2.2
    ping -q -n -c 2 -i 0.2 -s 3000 192.0.2.2
    ping -q -n -c 3 -i 0.2 -t 1 -p c0ffee 192.0.2.2
}
pings6() {
    ping -6 -q -n -c 4 -i 0.2 2001:db8::2
    ping -6 -q -n -c 2 -i 0.2 -s 3000 2001:db8::2
    ping -6 -q -n -c 2 -i 0.2 ff02::1%left
}
queries() {
    dig @192.0.2.2 www.example A
    dig @192.0.2.2 www.example AAAA
    dig @192.0.2.2 text.example TXT
    dig @192.0.2.2 nothing.example A
    dig @192.0.2.2 +noedns www.example ANY
    dig @192.0.2.2 -x 192.0.2.2
    dig @192.0.2.2 +tcp www.example A
    dig @2001:db8::2 www.example A
    dig @2001:db8::2 www.example AAAA
}
refused() {
    curl -s http://192.0.2.2:81/ || true      # TCP: reset
    curl -s 'http://[2001:db8::2]:81/' || true
    dig +tries=1 +timeout=1 @192.0.2.2 -p 5353 www.example || true # UDP: port unreachable
    dig +tries=1 +timeout=1 @2001:db8::2 -p 5353 www.example || true
}

start neighbour
set_up
sleep 3 # multicast reports and router solicitations take their time
forget_neighbours
ping -q -n -c 1 192.0.2.2 >/dev/null
ping -6 -q -n -c 1 2001:db8::2 >/dev/null
stop

mkdir "$work/www"
echo '<!doctype html><title>barebpf</title><p>Hello, packet.' >"$work/www/index.html"
seq 1 8000 >"$work/www/numbers.txt" # 38,893 bytes: 27 full segments
on_right sh -c "cd $work/www && exec python3 -m http.server --bind :: 80" >/dev/null 2>&1 &
on_right dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts \
    --interface=right --bind-interfaces --local=/example/ --host-record=www.example,192.0.2.2,2001:db8::2 \
    --txt-record=text.example,"Hello, packet." --log-facility="$work/dnsmasq" &
sleep 2 # until both listen

start arp arp
forget_neighbours
arping -q -c 3 -I left 192.0.2.2
arping -q -U -c 1 -I left 192.0.2.1
arping -q -c 1 -w 1 -I left 192.0.2.99 || true
ping -q -n -c 1 192.0.2.2 >/dev/null
stop

start ping4
pings >/dev/null
stop

start ping6
forget_neighbours
pings6 >/dev/null
stop

start dns
queries >/dev/null
stop

start http4
curl -s http://192.0.2.2/ -o /dev/null
curl -s http://192.0.2.2/missing -o /dev/null
stop

start http6
curl -s 'http://[2001:db8::2]/' -o /dev/null
stop

start transfer
curl -s http://192.0.2.2/numbers.txt -o /dev/null
stop

start refused
refused >/dev/null
stop

start snap50 -s 50
curl -s http://192.0.2.2/ -o /dev/null
curl -s 'http://[2001:db8::2]/' -o /dev/null
stop

start mixed
forget_neighbours
arping -q -c 2 -I left 192.0.2.2
(
    pings &
    pings6 &
    queries &
    refused &
    curl -s http://192.0.2.2/ 'http://[2001:db8::2]/numbers.txt' -o /dev/null -o /dev/null &
    wait
) >/dev/null
stop

python3 "$here/add_vlan_tags.py" "$out/mixed.pcap" "$out/vlan.pcap"
ls -l "$out"
