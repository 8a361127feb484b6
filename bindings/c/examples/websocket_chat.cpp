// A chat room over WebSockets (RFC 6455): websocket_chat [PORT].
//
// What one member says, all members hear. A connection begins with HTTP in one context and moves to
// another, with data of its own, when it is upgraded.
#include <libusockets.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <unordered_set>

namespace {

using Socket = us_socket_t;

// Longest head of a request, and longest message.
constexpr std::size_t head_max = 4096, message_max = 65536;
// A member who has so much left to receive misses what is said.
constexpr std::size_t unsent_max = 1 << 20;

us_socket_context_t *room;
std::unordered_set<Socket *> members;

struct Visitor {
    std::string head;
};

struct Member {
    std::string received, unsent;
};

template <typename T> T &data_of(Socket *s) { return *static_cast<T *>(us_socket_ext(0, s)); }

std::uint32_t rotate(std::uint32_t value, int by) { return value << by | value >> (32 - by); }

// SHA-1 (FIPS 180-4), which the handshake of WebSockets is made with.
std::string sha1(std::string text) {
    std::uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const std::uint64_t bits = text.size() * 8;
    text += '\x80';
    while (text.size() % 64 != 56) text += '\0';
    for (int shift = 56; shift >= 0; shift -= 8) text += static_cast<char>(bits >> shift);
    for (std::size_t at = 0; at < text.size(); at += 64) {
        std::uint32_t w[80];
        for (int i = 0; i < 16; i++) {
            w[i] = 0;
            for (int j = 0; j < 4; j++) w[i] = w[i] << 8 | static_cast<std::uint8_t>(text[at + 4 * i + j]);
        }
        for (int i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        std::uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            std::uint32_t f, k;
            if (i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
            else if (i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
            else if (i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            else f = b ^ c ^ d, k = 0xca62c1d6;
            const std::uint32_t next = rotate(a, 5) + f + e + k + w[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    std::string digest;
    for (std::uint32_t word : h)
        for (int shift = 24; shift >= 0; shift -= 8) digest += static_cast<char>(word >> shift);
    return digest;
}

std::string base64(const std::string &bytes) {
    const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        for (std::size_t j = i; j < i + 3; j++)
            group = group << 8 | (j < bytes.size() ? static_cast<std::uint8_t>(bytes[j]) : 0);
        for (std::size_t j = 0; j < 4; j++)
            text += i + j <= bytes.size() ? letters[group >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

// The value of a field of a request's head, or nothing.
std::string field(const std::string &head, std::string name) {
    std::string lower;
    for (char letter : head) lower += letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    std::size_t at = lower.find("\r\n" + name + ":");
    if (at == std::string::npos) return "";
    at = head.find_first_not_of(' ', at + name.size() + 3);
    return head.substr(at, head.find("\r\n", at) - at);
}

std::string frame(char opcode, const std::string &payload) {
    std::string whole(1, static_cast<char>(0x80 | opcode));
    if (payload.size() < 126) {
        whole += static_cast<char>(payload.size());
    } else {
        whole += '\x7e';
        whole += static_cast<char>(payload.size() >> 8);
        whole += static_cast<char>(payload.size());
    }
    return whole + payload;
}

void send(Socket *s, const std::string &bytes) {
    Member &member = data_of<Member>(s);
    if (member.unsent.size() > unsent_max) return;
    std::size_t sent = 0;
    if (member.unsent.empty())
        sent = us_socket_write(0, s, bytes.data(), static_cast<int>(bytes.size()), 0);
    member.unsent += bytes.substr(sent);
}

// Takes one frame from the front of what came; false if it is not whole, or the socket is gone.
bool take_frame(Socket *s) {
    std::string &in = data_of<Member>(s).received;
    if (in.size() < 2) return false;
    const int opcode = in[0] & 0x0f;
    std::size_t length = in[1] & 0x7f, header = 6;
    if (length == 126) {
        if (in.size() < 4) return false;
        length = static_cast<std::uint8_t>(in[2]) << 8 | static_cast<std::uint8_t>(in[3]);
        header = 8;
    }
    // Fragments, extensions, frames that are too long or not masked are none of a chat's.
    const bool is_masked = in[1] & 0x80, is_whole = (in[0] & 0xf0) == 0x80;
    if (!is_masked || !is_whole || (in[1] & 0x7f) == 127 || length > message_max) {
        us_socket_close(0, s, 0, nullptr);
        return false;
    }
    if (in.size() < header + length) return false;
    std::string payload = in.substr(header, length);
    for (std::size_t i = 0; i < length; i++) payload[i] ^= in[header - 4 + i % 4];
    in.erase(0, header + length);
    if (opcode == 8) {
        send(s, frame(8, payload));
        us_socket_shutdown(0, s);
    } else if (opcode == 9) {
        send(s, frame(10, payload));
    } else if (opcode == 1 || opcode == 2) {
        for (Socket *member : members) send(member, frame(static_cast<char>(opcode), payload));
    }
    return true;
}

Socket *on_visit(Socket *s, int, char *, int) {
    new (us_socket_ext(0, s)) Visitor();
    us_socket_timeout(0, s, 10);
    return s;
}

Socket *on_request(Socket *s, char *data, int length) {
    std::string &head = data_of<Visitor>(s).head;
    head.append(data, static_cast<std::size_t>(length));
    const std::size_t end = head.find("\r\n\r\n");
    if (end == std::string::npos) {
        return head.size() > head_max ? us_socket_close(0, s, 0, nullptr) : s;
    }
    const std::string key = field(head.substr(0, end + 2), "sec-websocket-key");
    if (key.empty()) {
        const std::string text = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n";
        us_socket_write(0, s, text.data(), static_cast<int>(text.size()), 0);
        us_socket_shutdown(0, s);
        return s;
    }
    const std::string rest = head.substr(end + 4);
    const std::string text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: "
        + base64(sha1(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) + "\r\n\r\n";
    // The visitor's data goes; the member's comes in its place, where the socket moved to.
    data_of<Visitor>(s).~Visitor();
    Socket *moved = us_socket_context_adopt_socket(0, room, s, sizeof(Member));
    if (!moved) std::abort();
    new (us_socket_ext(0, moved)) Member();
    members.insert(moved);
    send(moved, text);
    data_of<Member>(moved).received = rest;
    while (!us_socket_is_closed(0, moved) && take_frame(moved)) {
    }
    return moved;
}

Socket *on_message(Socket *s, char *data, int length) {
    data_of<Member>(s).received.append(data, static_cast<std::size_t>(length));
    while (!us_socket_is_closed(0, s) && take_frame(s)) {
    }
    return s;
}

Socket *on_writable(Socket *s) {
    std::string &unsent = data_of<Member>(s).unsent;
    unsent.erase(0, us_socket_write(0, s, unsent.data(), static_cast<int>(unsent.size()), 0));
    return s;
}

Socket *on_leave(Socket *s, int, void *) {
    members.erase(s);
    data_of<Member>(s).~Member();
    return s;
}

Socket *on_visitor_gone(Socket *s, int, void *) {
    data_of<Visitor>(s).~Visitor();
    return s;
}

Socket *close_it(Socket *s) { return us_socket_close(0, s, 0, nullptr); }

} // namespace

int main(int argc, char **argv) {
    us_loop_t *loop = us_create_loop(nullptr, nullptr, nullptr, nullptr, 0);
    if (!loop) return 1;
    us_socket_context_t *http = us_create_socket_context(0, loop, 0, us_socket_context_options_t());
    us_socket_context_on_open(0, http, on_visit);
    us_socket_context_on_data(0, http, on_request);
    us_socket_context_on_end(0, http, close_it);
    us_socket_context_on_timeout(0, http, close_it);
    us_socket_context_on_close(0, http, on_visitor_gone);
    room = us_create_child_socket_context(0, http, 0);
    us_socket_context_on_data(0, room, on_message);
    us_socket_context_on_writable(0, room, on_writable);
    us_socket_context_on_end(0, room, close_it);
    us_socket_context_on_close(0, room, on_leave);
    us_listen_socket_t *listener = us_socket_context_listen(0, http, nullptr,
        argc > 1 ? std::atoi(argv[1]) : 9001, 0, sizeof(Visitor));
    if (!listener) {
        std::perror("listen");
        return 1;
    }
    std::printf("chats at port %d\n", us_socket_local_port(0, reinterpret_cast<Socket *>(listener)));
    std::fflush(stdout);
    us_loop_run(loop);
    us_socket_context_free(0, room);
    us_socket_context_free(0, http);
    us_loop_free(loop);
    return 0;
}
