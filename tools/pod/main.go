// Command pod is the only file in the image that every pod of the dev cluster
// begins with. As "pod pause" it holds a pod's namespaces; its other
// sub-commands let checks of the cluster see it from inside a pod, where an
// otherwise empty image has no shell.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: pod pause                 wait for SIGTERM, reaping orphans
       pod serve ADDRESS         answer every HTTP request with this host's name
       pod get URL               print what URL answers
       pod write FILE TEXT       write TEXT to FILE
       pod read FILE             print FILE
       pod print TEXT            print TEXT
       pod sleep DURATION        wait, such as 30s`

// A pod that asks for more than this is stuck, not slow.
const httpTimeout = 5 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pod:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New(usage)
	}
	switch fmt.Sprint(arguments[0], " ", len(arguments)-1) {
	case "pause 0":
		return pause()
	case "serve 1":
		return serve(arguments[1])
	case "get 1":
		return get(arguments[1])
	case "write 2":
		return os.WriteFile(arguments[1], []byte(arguments[2]), 0o644)
	case "read 1":
		return read(arguments[1])
	case "print 1":
		_, err := fmt.Println(arguments[1])
		return err
	case "sleep 1":
		duration, err := time.ParseDuration(arguments[1])
		if err == nil {
			time.Sleep(duration)
		}
		return err
	default:
		return errors.New(usage)
	}
}

// pause is the first process of pods that share one process namespace, so it
// inherits their orphans.
func pause() error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return nil
		}
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
		}
	}
	return nil
}

func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              address,
		ReadHeaderTimeout: httpTimeout,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, name)
		}),
	}
	stopped := make(chan os.Signal, 1)
	signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-stopped
		server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func get(url string) error {
	client := http.Client{Timeout: httpTimeout}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, response.Status)
	}
	return nil
}

func read(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(content)
	return err
}
