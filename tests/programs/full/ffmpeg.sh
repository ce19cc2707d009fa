#!/usr/bin/env bash
# ffmpeg: a film over HTTP, over TCP with ffmpeg as the listener, and as RTP packets; every frame's checksum is compared.
. "$(dirname "$0")/../lib.sh"
need ffmpeg python3
mkdir "$T/www"
ff=(ffmpeg -nostdin -hide_banner -loglevel error -y)
"${ff[@]}" -f lavfi -i testsrc=size=160x120:rate=25 -f lavfi -i sine=frequency=440:sample_rate=8000 -t 4 -c:v mpeg2video -g 12 -bf 0 -b:v 300k -c:a pcm_mulaw -f nut "$T/www/film.nut" || fail "encoding"
"${ff[@]}" -i "$T/www/film.nut" -an -c:v copy -f mpegts "$T/www/film.ts" || fail "remuxing"
"${ff[@]}" -i "$T/www/film.nut" -map 0:v -f framemd5 "$T/want" || fail "decoding"
"${ff[@]}" -i "$T/www/film.nut" -map 0:a -c copy -f mulaw "$T/want.ul" || fail "sound"
sums() { grep -v '^#' "$1" | awk -F, '{ print $NF }'; }
sums "$T/want" >"$T/want.sums"; eq "frames" 100 "$(wc -l <"$T/want.sums")"
# exercise SENDER RECEIVER
exercise() {
    local web tcp rtp p
    read -r web tcp rtp < <(free_ports 3)
    step "$1 to $2"
    "$1_bg" "web$1$2" python3 "$src/httpd.py" 127.0.0.1 "$web" "$T/www"; wait_port tcp "$web" "$pid"
    $2 "${ff[@]}" -i "http://127.0.0.1:$web/film.nut" -map 0:v -f framemd5 "$T/got" || fail "HTTP"
    sums "$T/got" >"$T/got.sums"; same "HTTP" "$T/want.sums" "$T/got.sums"
    "$2_bg" "tcp$1$2" "${ff[@]}" -i "tcp://127.0.0.1:$tcp?listen=1" -map 0:v -f framemd5 "$T/got.tcp"; p=$pid; wait_port tcp "$tcp" "$p"
    $1 "${ff[@]}" -i "$T/www/film.nut" -c copy -f nut "tcp://127.0.0.1:$tcp" || fail "TCP, sending"
    gone "$p" 8 || fail "the receiver stayed"
    sums "$T/got.tcp" >"$T/got.sums"; same "TCP" "$T/want.sums" "$T/got.sums"
    printf 'v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio %s RTP/AVP 0\n' "$rtp" >"$T/rtp.sdp"
    "$2_bg" "rtp$1$2" "${ff[@]}" -protocol_whitelist file,udp,rtp -reorder_queue_size 0 -i "$T/rtp.sdp" -c copy -t 2 -f mulaw "$T/got.ul"; p=$pid; wait_port udp "$rtp" "$p"
    $1 "${ff[@]}" -re -i "$T/www/film.nut" -map 0:a -c copy -f rtp "rtp://127.0.0.1:$rtp" >/dev/null || fail "RTP, sending"
    gone "$p" 8 || fail "the receiver of RTP stayed"
    eq "RTP: sound is a piece of what was sent" yes "$(python3 -c 'import sys; a, b = (open(f, "rb").read() for f in sys.argv[1:]); print("yes" if len(b) > 12000 and b in a else (len(a), len(b)))' "$T/want.ul" "$T/got.ul")"
}
exercise outside inside
exercise inside outside
