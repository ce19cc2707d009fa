/* Interface ioctls: reads alone, of the host's interfaces. */
#ifndef SPLITSOCK_GOFER_INTERFACE_H
#define SPLITSOCK_GOFER_INTERFACE_H

#include "gofer/sock.h"

/* Room for an answer; SIOCGIFCONF of 100 interfaces fits. */
#define INTERFACE_VALUE_MAX 4096

/*
 * Makes the request on fd; value has INTERFACE_VALUE_MAX bytes, *value_len says how many were filled. Returns 0 or a negative errno:
 * -EPERM for what is no read, -EBADMSG for what no correct client sends.
 */
int interface_ioctl(int fd, const Splitsock__InterfaceIoctl *request, uint8_t *value, size_t *value_len);

#endif
