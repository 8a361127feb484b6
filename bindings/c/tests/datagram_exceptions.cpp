// Exceptions out of the callback of datagrams: the socket and the loop go on.
#include <libusockets.h>
#include <netinet/in.h>

#include <cstdio>
#include <string>

namespace {

us_loop_t *loop;
us_udp_socket_t *udp;
us_udp_packet_buffer_t *packets;
int calls;
bool throws;

void on_datagrams(us_udp_socket_t *, us_udp_packet_buffer_t *buffer, int count) {
    calls++;
    if (throws) throw std::string("a datagram");
    std::printf("%d: %.*s\n", count, us_udp_packet_buffer_payload_length(buffer, 0),
        us_udp_packet_buffer_payload(buffer, 0));
    us_udp_socket_close(udp);
}

// Sends a datagram to the socket itself.
void send(const std::string &text) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<in_port_t>(us_udp_socket_bound_port(udp)));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string copy = text;
    us_udp_buffer_set_packet_payload(packets, 0, 0, &copy[0], static_cast<int>(copy.size()), &to);
    us_udp_socket_send(udp, packets, 1);
}

} // namespace

int main() {
    loop = us_create_loop(nullptr, nullptr, nullptr, nullptr, 0);
    packets = us_create_udp_packet_buffer();
    udp = us_create_udp_socket(loop, nullptr, on_datagrams, nullptr, "127.0.0.1", 0, nullptr);
    for (int i = 0; i < 3; i++) {
        throws = true;
        send("lost");
        try {
            us_loop_run(loop);
            std::printf("not thrown\n");
        } catch (const std::string &thrown) {
            std::printf("caught %s\n", thrown.c_str());
        }
    }
    throws = false;
    send("and the next");
    us_loop_run(loop);
    std::printf("calls %d\n", calls);
    us_loop_free(loop);
    us_udp_packet_buffer_free(packets);
    return 0;
}
/* Prints:
caught a datagram
caught a datagram
caught a datagram
1: and the next
calls 4
*/
