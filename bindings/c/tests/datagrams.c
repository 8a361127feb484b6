/* Datagrams over both families: who sent them and where to, many at once, errors, room, closing. */
#include "harness.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct us_udp_socket_t Udp;
typedef struct us_udp_packet_buffer_t Packets;

static Packets *sending;
static Udp *receiver, *sender, *third;
static int received, bytes, drains, calls, wanted;

static void begin_alone(const char *name) {
    begin(name, 0);
    us_listen_socket_close(0, listener);
    received = bytes = drains = calls = 0;
}

static struct sockaddr_in v4(int number) {
    struct sockaddr_in at;
    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short) number);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static struct sockaddr_in6 v6(int number) {
    struct sockaddr_in6 at;
    memset(&at, 0, sizeof at);
    at.sin6_family = AF_INET6;
    at.sin6_port = htons((unsigned short) number);
    at.sin6_addr = in6addr_loopback;
    return at;
}

static void close_both(void) {
    us_udp_socket_close(receiver);
    us_udp_socket_close(sender);
    us_udp_socket_close(sender);
    if (third) us_udp_socket_close(third);
    third = NULL;
}

/* Says who sent a datagram, and sends it back. */
static void echo(Udp *s, Packets *packets, int count) {
    for (int i = 0; i < count; i++) {
        char *peer = us_udp_packet_buffer_peer(packets, i), ip[16];
        int family = ((struct sockaddr *) peer)->sa_family, length;
        int number = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *) peer)->sin6_port
                                              : ((struct sockaddr_in *) peer)->sin_port);
        length = us_udp_packet_buffer_local_ip(packets, i, ip);
        SAY("%.*s: family %d, its port %d, sent to %d bytes ending in %d, mark %d",
            us_udp_packet_buffer_payload_length(packets, i),
            us_udp_packet_buffer_payload(packets, i), family == AF_INET6 ? 6 : 4,
            number == us_udp_socket_bound_port(family == AF_INET6 ? third : sender), length,
            length ? ip[length - 1] : 0,
            us_udp_packet_buffer_ecn(packets, i));
        us_udp_buffer_set_packet_payload(sending, i, 0, (void *) "re: ", 4, peer);
        us_udp_buffer_set_packet_payload(sending, i, 4, us_udp_packet_buffer_payload(packets, i),
            us_udp_packet_buffer_payload_length(packets, i), peer);
    }
    SAY("sent %d back", us_udp_socket_send(s, sending, count));
}

static void answered(Udp *s, Packets *packets, int count) {
    for (int i = 0; i < count; i++) {
        SAY("answer: %.*s", us_udp_packet_buffer_payload_length(packets, i),
            us_udp_packet_buffer_payload(packets, i));
    }
    received += count;
    if (received == wanted) {
        SAY("user %s, closed %d", (char *) us_udp_socket_user(s),
            us_socket_is_closed(0, (Socket *) s));
        close_both();
        SAY("closed %d, sent %d, received %d", us_socket_is_closed(0, (Socket *) s),
            us_udp_socket_send(s, packets, 1), us_udp_socket_receive(s, packets));
    }
}

static void send_from(Udp *s, void *at, const char *text) {
    us_udp_buffer_set_packet_payload(sending, 0, 0, (void *) text, (int) strlen(text), at);
    if (us_udp_socket_send(s, sending, 1) != 1) SAY("%s was not sent", text);
}

static void count_bytes(Udp *s, Packets *packets, int count) {
    calls++;
    do {
        for (int i = 0; i < count; i++) {
            int length = us_udp_packet_buffer_payload_length(packets, i);
            char *data = us_udp_packet_buffer_payload(packets, i);
            if (length > 1 && data[length - 1] != (char) length) SAY("a wrong byte");
            bytes += length;
        }
        received += count;
        count = us_udp_socket_receive(s, packets);
    } while (count > 0);
    if (received >= wanted) close_both();
}

static void drained(Udp *s) { (void) s; drains++; }

/* Many small ones, and one of the longest size. */
static void many(void) {
    static char data[65507];
    struct sockaddr_in at = v4(us_udp_socket_bound_port(receiver));
    for (int i = 0; i < 150; i++) {
        data[i] = (char) (i + 1);
        us_udp_buffer_set_packet_payload(sending, i, 0, data, i + 1, &at);
    }
    data[65506] = (char) 65507;
    us_udp_buffer_set_packet_payload(sending, 150, 0, data, 65507, &at);
    SAY("took %d", us_udp_socket_send(sender, sending, 151));
}

static void never(Udp *s, Packets *packets, int count) {
    (void) s; (void) packets;
    SAY("%d datagrams for nobody", count);
}

static void end(Timer *t) {
    us_timer_close(t);
    close_both();
}

int main(void) {
    char text[] = "my own";
    sending = us_create_udp_packet_buffer();

    /* (W27, W34) */
    begin_alone("both families");
    wanted = 2;
    receiver = us_create_udp_socket(loop, NULL, echo, NULL, NULL, 0, NULL);
    sender = us_create_udp_socket(loop, NULL, answered, NULL, "127.0.0.1", 0, text);
    third = us_create_udp_socket(loop, NULL, answered, NULL, "::1", 0, text);
    struct sockaddr_in at = v4(us_udp_socket_bound_port(receiver));
    struct sockaddr_in6 at6 = v6(us_udp_socket_bound_port(receiver));
    send_from(sender, &at, "over four");
    send_from(third, &at6, "over six");
    SAY("descriptors %d", us_poll_fd((struct us_poll_t *) third) >= 0);
    finish();

    /* (W27) */
    begin_alone("many, and the longest");
    wanted = 151;
    receiver = us_create_udp_socket(loop, NULL, count_bytes, NULL, "127.0.0.1", 0, NULL);
    sender = us_create_udp_socket(loop, NULL, NULL, drained, "127.0.0.1", 0, NULL);
    many();
    finish();
    SAY("received %d of %d bytes, drained %d", received, bytes, drains);

    /* (W27) */
    begin_alone("what cannot be sent, and what comes back");
    receiver = us_create_udp_socket(loop, NULL, never, NULL, "127.0.0.1", 0, NULL);
    sender = us_create_udp_socket(loop, NULL, never, NULL, "127.0.0.1", 0, NULL);
    struct sockaddr_in nobody = v4(us_udp_socket_bound_port(receiver));
    us_udp_socket_close(receiver);
    send_from(sender, &nobody, "refused");
    receiver = us_create_udp_socket(loop, NULL, never, NULL, "::1", 0, NULL);
    struct sockaddr family;
    memset(&family, 0, sizeof family);
    us_udp_buffer_set_packet_payload(sending, 0, 0, text, 6, &family);
    errno = 0;
    int result = us_udp_socket_send(sender, sending, 1);
    SAY("to no family: %d %d", result, errno != 0);
    us_udp_buffer_set_packet_payload(sending, 0, 65520, text, 6, &nobody);
    us_udp_buffer_set_packet_payload(sending, 0, 65528, text, 6, &nobody);
    us_udp_buffer_set_packet_payload(sending, 5000, 0, text, 6, &nobody);
    us_udp_buffer_set_packet_payload(sending, 0, 0, text, -1, &nobody);
    errno = 0;
    result = us_udp_socket_send(sender, sending, 1);
    SAY("too long: %d %d", result, errno != 0);
    errno = 0;
    Udp *refused = us_create_udp_socket(loop, NULL, NULL, NULL, "127.0.0.1",
        (unsigned short) us_udp_socket_bound_port(sender), NULL);
    SAY("a port in use: %d %d", refused != NULL, errno == EADDRINUSE);
    after(50, end);
    finish();

    begin_alone("freed with the loop");
    receiver = us_create_udp_socket(loop, sending, NULL, NULL, "127.0.0.1", 0, NULL);
    us_create_udp_socket(loop, NULL, NULL, NULL, "127.0.0.1", 0, NULL);
    us_socket_context_free(0, second);
    us_socket_context_free(0, context);
    us_loop_free(loop);
    us_udp_packet_buffer_free(sending);
    return 0;
}

/* Prints:
-- both families
descriptors 1
over four: family 4, its port 1, sent to 4 bytes ending in 1, mark 0
over six: family 6, its port 1, sent to 16 bytes ending in 1, mark 0
sent 2 back
answer: re: over four
answer: re: over six
user my own, closed 0
closed 1, sent 0, received 0
opened 0 and 0, closed 0
-- many, and the longest
took 151
opened 0 and 0, closed 0
received 151 of 76832 bytes, drained 0
-- what cannot be sent, and what comes back
to no family: -1 1
too long: -1 1
a port in use: 0 1
opened 0 and 0, closed 0
-- freed with the loop
*/
