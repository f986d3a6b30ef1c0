// Command gitea is the forge of the dev cluster and of tests: Gitea's own
// commands, with markdown as the only format that it renders.
//
// Its templates, translations and public files are no part of the binary: they
// are taken from the module's folder, see STATIC_ROOT_PATH in its configuration.
package main

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"code.gitea.io/gitea/cmd"
	"code.gitea.io/gitea/modules/log"
	"code.gitea.io/gitea/modules/setting"
	"github.com/urfave/cli/v3"

	_ "code.gitea.io/gitea/modules/markup/markdown"
)

const module = "code.gitea.io/gitea"

func main() {
	setting.AppVer = version()
	setting.AppStartTime = time.Now().UTC()
	if server := os.Getenv("GITEA_NAME_SERVER"); server != "" {
		askOnly(server)
	}
	// Log lines are queued: without this the last ones, which tell why it ends, are lost.
	cli.OsExiter = func(code int) {
		log.GetManager().Close()
		os.Exit(code)
	}
	err := cmd.RunMainApp(cmd.NewMainApp(cmd.AppVersion{Version: setting.AppVer}), os.Args...)
	log.GetManager().Close()
	if err != nil {
		os.Exit(1) // it has printed why
	}
}

// askOnly has this server (an address with a port) resolve all names. That of a
// cluster knows its Services, to which webhooks go; the machine's does not.
func askOnly(server string) {
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, server)
		},
	}
}

// version is that of the module that was built, as go.mod says. Clients look at
// it to tell what the forge can do, and refuse one without a number.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return strings.TrimPrefix(dependency.Version, "v")
		}
	}
	panic("built without module information: build with the module's own go.mod")
}
