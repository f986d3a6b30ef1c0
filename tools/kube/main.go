// Command kube is every Kubernetes program of the dev cluster in one binary,
// chosen by its first argument, so that they are linked once instead of eight
// times: kube apiserver, kube kubelet, kube kubectl, kube etcd and so on.
//
// go.mod holds the version of the dev cluster. Each kube-<minor>.mod holds
// another that tests can be run against: go build -modfile=kube-<minor>.mod
// -tags controlplane. The tag leaves out what runs pods, see node.go.
package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	// Log formats and metrics register themselves when imported.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// daemons are the long-running programs that share cobra's way of starting.
var daemons = map[string]func() *cobra.Command{
	"apiserver":          apiserver.NewAPIServerCommand,
	"controller-manager": controllermanager.NewControllerManagerCommand,
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	program := os.Args[1]
	os.Args = append([]string{program}, os.Args[2:]...)

	switch program {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kubectl":
		// Unlike the daemons, kubectl reports its errors through its own printer and exit codes.
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	default:
		command, known := daemons[program]
		if !known {
			usage()
		}
		os.Exit(cli.Run(command()))
	}
}

func usage() {
	names := append(slices.Collect(maps.Keys(daemons)), "etcd", "kubectl")
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "usage: kube %s [arguments]\n", strings.Join(names, "|"))
	os.Exit(2)
}
