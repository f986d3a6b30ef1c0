// Command s3 is an S3 server for tests: Versity's gateway over folders of this
// machine. It checks signatures, also those in URLs, and keeps what broken-off
// uploads leave, as the services of clouds do.
//
//	s3 -listen ADDRESS -folder FOLDER -certificate FILE -key FILE -access-key NAME -secret-key SECRET
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	config := embedgw.Config{Quiet: true, KeepAlive: true, MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10000, DisableACLs: true}
	listen := flag.String("listen", "", "host and port")
	folder := flag.String("folder", "", "where buckets are kept; it exists")
	flag.StringVar(&config.CertFile, "certificate", "", "PEM; plain HTTP without")
	flag.StringVar(&config.KeyFile, "key", "", "PEM of the certificate's key")
	flag.StringVar(&config.RootUserAccess, "access-key", "", "name of the only user")
	flag.StringVar(&config.RootUserSecret, "secret-key", "", "what this user signs with")
	flag.StringVar(&config.Region, "region", "us-east-1", "what signatures name")
	flag.Parse()
	config.Ports = []string{*listen}
	if err := serve(config, *folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(config embedgw.Config, folder string) error {
	// The gateway makes the data its own working folder.
	for _, path := range []*string{&folder, &config.CertFile, &config.KeyFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	// Beside the data: not every file system has extended attributes for all users.
	data, attributes := filepath.Join(folder, "data"), filepath.Join(folder, "attributes")
	for _, path := range []string{data, attributes} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return err
		}
	}
	store, err := meta.NewSideCar(attributes)
	if err != nil {
		return err
	}
	// Without unnamed files: overlay file systems have none.
	gateway, err := posix.New(data, store, posix.PosixOpts{SideCarDir: attributes, ForceNoTmpFile: true, Concurrency: 100})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(context.Background(), gateway, &config)
}
