/* What programs know of sizes and constants, as the header promises and µSockets has it. */
#include <libusockets.h>
#include <libusockets.h>
#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
#define CHECK(condition) static_assert(condition, #condition)
#else
#define CHECK(condition) _Static_assert(condition, #condition)
#endif

CHECK(sizeof(struct us_socket_context_options_t) == 56);
CHECK(offsetof(struct us_socket_context_options_t, ca_file_name) == 32);
CHECK(offsetof(struct us_socket_context_options_t, ssl_prefer_low_memory_usage) == 48);
CHECK(sizeof(struct us_loop_statistics_t) == 64);
CHECK(offsetof(struct us_loop_statistics_t, open) == 56);
CHECK(LIBUS_RECV_BUFFER_LENGTH == 524288);
CHECK(LIBUS_RECV_BUFFER_PADDING == 32);
CHECK(LIBUS_EXT_ALIGNMENT == 16);
CHECK(LIBUS_TIMEOUT_GRANULARITY == 4);
#ifdef _WIN32
CHECK(sizeof(LIBUS_SOCKET_DESCRIPTOR) == sizeof(void *));
#else
CHECK(sizeof(LIBUS_SOCKET_DESCRIPTOR) == sizeof(int));
#endif
CHECK(LIBUS_LISTEN_DEFAULT == 0 && LIBUS_LISTEN_EXCLUSIVE_PORT == 1);
CHECK(LIBUS_SOCKET_READABLE == 1 && LIBUS_SOCKET_WRITABLE == 4);

int main(void) {
    puts("as promised");
    return 0;
}
/* Prints:
as promised
*/
