/* Two ports that are each other's other end: a cable of two rings in memory. For `rings.rs`. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

static int make_ring(const char *name, char end, uint16_t queue, unsigned int frames,
    struct rte_ring **out)
{
    char full[RTE_RING_NAMESIZE];
    int len = snprintf(full, sizeof full, "%s%c%u", name, end, queue);
    if (len < 0 || (size_t)len >= sizeof full)
        return -ENAMETOOLONG;
    *out = rte_ring_create(full, frames, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    return *out == NULL ? -rte_errno : 0;
}

/* Makes ports `net_ring_NAMEa` and `net_ring_NAMEb`; `ports` are their numbers. */
int us_dpdk_ring_pair(const char *name, uint16_t queues, unsigned int frames, uint16_t *ports)
{
    struct rte_ring *there[RTE_PMD_RING_MAX_RX_RINGS], *back[RTE_PMD_RING_MAX_RX_RINGS];
    char full[RTE_ETH_NAME_MAX_LEN];
    if (queues == 0 || queues > RTE_PMD_RING_MAX_RX_RINGS)
        return -ERANGE;
    for (uint16_t queue = 0; queue < queues; queue++) {
        int error = make_ring(name, 'x', queue, frames, &there[queue]);
        if (error == 0)
            error = make_ring(name, 'y', queue, frames, &back[queue]);
        if (error < 0)
            return error;
    }
    snprintf(full, sizeof full, "%sa", name);
    int first = rte_eth_from_rings(full, there, queues, back, queues, SOCKET_ID_ANY);
    if (first < 0)
        return -rte_errno;
    snprintf(full, sizeof full, "%sb", name);
    int second = rte_eth_from_rings(full, back, queues, there, queues, SOCKET_ID_ANY);
    if (second < 0)
        return -rte_errno;
    ports[0] = (uint16_t)first;
    ports[1] = (uint16_t)second;
    return 0;
}
