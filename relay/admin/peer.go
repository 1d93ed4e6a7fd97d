package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"

	"graphrelay/relay/socket"

	"golang.org/x/sys/unix"
)

// peer is the process at the other end of the socket, as the kernel knows it.
type peer struct {
	uid    uint32
	groups []uint32 // its primary group and those that its user belongs to
}

// peerOf asks the kernel who connected.
func peerOf(c net.Conn) (peer, error) {
	who, err := socket.PeerOf(c)
	if err != nil {
		return peer{}, fmt.Errorf("admin: %w", err)
	}
	return peer{uid: who.Uid, groups: append(groupsOf(who.Uid), who.Gid)}, nil
}

// groupsOf lists the groups of a user: none if the host does not know the user.
func groupsOf(uid uint32) []uint32 {
	u, err := user.LookupId(strconv.Itoa(int(uid)))
	if err != nil {
		return nil
	}
	ids, _ := u.GroupIds()
	var groups []uint32
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			groups = append(groups, uint32(n))
		}
	}
	return groups
}

// may reports whether p is served: root, the service's own user, and members of the
// socket's group.
func (p peer) may(self, group uint32) bool {
	return p.uid == 0 || p.uid == self || slices.Contains(p.groups, group)
}

// groupOf is the group of a socket file.
func groupOf(l net.Listener) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Stat(l.Addr().String(), &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: l.Addr().String(), Err: err}
	}
	return st.Gid, nil
}

// guest is a peer with whether it is served.
type guest struct {
	peer
	welcome bool
}

type guestKey struct{}

// guestOf returns the guest who asks.
func guestOf(r *http.Request) guest {
	g, _ := r.Context().Value(guestKey{}).(guest)
	return g
}

// greet identifies each connection once.
func greet(self, group uint32) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		p, err := peerOf(c)
		return context.WithValue(ctx, guestKey{}, guest{p, err == nil && p.may(self, group)})
	}
}

// onlyGuests refuses everyone else.
func (s *Server) onlyGuests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g := guestOf(r); !g.welcome {
			s.Log.Warn("admin socket refused a user", "uid", g.uid, "request", r.Method+" "+r.URL.Path)
			http.Error(w, "this user may not administer graphrelay; become root, "+
				"or a member of the socket's group: usermod -aG graphrelay USER", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// userOf names the user who asks, for the history and the log.
func userOf(r *http.Request) string {
	id := strconv.Itoa(int(guestOf(r).uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// adminGroup is the group of administrators, if the host has it.
const adminGroup = "graphrelay"

// GiveToGroup lets the administrators' group open the socket. A process that runs
// as this group has done so by making it; one that may not give it away keeps it in
// its own group, which is narrower.
func GiveToGroup(l net.Listener, log *slog.Logger) error {
	g, err := user.LookupGroup(adminGroup)
	if err != nil {
		return nil //nolint:nilerr // the host has no such group: root and the service's user remain
	}
	gid, err := strconv.Atoi(g.Gid)
	if err == nil && gid != os.Getegid() {
		err = os.Chown(l.Addr().String(), -1, gid)
	}
	if errors.Is(err, fs.ErrPermission) {
		log.Warn("cannot give the admin socket to its group",
			"group", adminGroup, "socket", l.Addr().String(), "error", err)
		return nil
	}
	return err
}
